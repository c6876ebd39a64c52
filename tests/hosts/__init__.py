"""Many workers on many hosts are one server: clients notice neither which of them answers nor that one is lost."""
