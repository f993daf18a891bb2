"""Programs that load an export with the tool that it is for.

Each runs in its tool's own environment, in the export's folder, and prints one JSON document at the end: what the tool learns
of the first row and what it only tells the model, how many rows there are, and the numbers that it has read.
`python tests/exported/environments.py DIRECTORY` makes these environments.
"""
