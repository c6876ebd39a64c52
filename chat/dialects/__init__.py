"""The names of other systems, one file each: a table of events and a thin blueprint. No rule, no SQL, no state."""
