"""Random fault runs: people talk while everything breaks at random, and the checker is asked afterwards.

`python -m tests.chaos --runs 100 --seed 1 --jobs 2` runs a hundred of them. A run is one seed: `plan.py` makes of it
who is there, what they do and what breaks when; `field.py` is the servers, kept warm for the runs of one shape;
`faults.py` breaks them; `device.py` is one device, `actor.py` its script with what it says, `errands.py` with what
else it does. In the end `verdict.py` compares what everybody saw and is told with the database, at every worker
(`doors.py`), `presence.py` asks who counts as online, and `logs.py` what the servers complain of.

A run is told before it begins. A failed one leaves its plan, its story, the servers' logs and what each device saw in a
folder that is printed, with the command that repeats it: the seeds that its field saw before it, then its own, in the
same shape. What the machine makes of a plan is not the same each time: a rare failure takes several runs of its seed
(`--again 20`).
"""
