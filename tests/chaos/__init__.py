"""Random fault runs: people talk while everything breaks at random, and the checker is asked afterwards.

`python -m tests.chaos --runs 100 --seed 1 --jobs 2` runs a hundred of them. A run is one seed: `plan.py` makes of it
who is there, what they do and what breaks when; `field.py` is the servers, kept warm for the runs of one shape;
`faults.py` breaks them; `actor.py` is one device with its script; `verdict.py` compares in the end. A failed run leaves
its plan, its story, the servers' logs and what each device saw in a folder that is printed; `--seed` with `--runs 1`
repeats its plan. What the machine makes of a plan is not the same each time: a rare failure takes several runs of its
seed (`--again 20`).
"""
