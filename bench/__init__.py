"""This server and its peers side by side: `python bench/run.py`. docs/benchmarks.md tells what is measured and how."""
