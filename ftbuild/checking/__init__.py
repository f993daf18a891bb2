"""Rows that are right before they are sent: what is wrong with training rows, and putting right what can be put right safely.

about     rows, problems, and what a check is: a registered function `(about) -> Watch`
reading   files as people have them, row by row
shape     what JSON Schema says of rows; `schemas/` are the schemas
endings   separators and stop tokens, found by looking
files     checks of a file as a whole; `texts` of prompts and completions; `turns` of conversations
running   all checks over all rows, in one pass
mending   the second pass, which writes what was mended
"""
