"""ftbuild is make for fine-tuned models.

A recipe (YAML) and its prompts (Jinja) go in; a domain-expert model, the data it was trained on and a report of what it
learned come out.  The flow through the package, one way:

    argv → cli → recipe → plan → execute → stages → store → report
"""

__version__ = "0.1.0"
