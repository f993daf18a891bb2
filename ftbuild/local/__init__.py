"""The embedded provider: an OpenAI-compatible server that fine-tunes and runs open-weight models on this machine.

    launch     start the server for a build, and stop it with the build
    serve      the server process: uvicorn around `app`
    app        who may ask, and how errors look
    routes     the routes of the protocol, a module for each of its objects
    hub        what the routes share
    protocol   the shapes of requests
    rows       training files, checked line by line
    state      files, jobs and events, in SQLite and plain files
    jobs       the queue: one training process at a time, followed line by line
    training   that process: the fine-tuning itself
    packing    rows that begin alike, trained as one tree
    engine     prompts in, completions out, many at once
    models     from a model's name to its weights
    identity   what a model depends on, for the keys of stages
    housekeeping   what was kept on disk, and removing it

Nothing here is imported by the rest of ftbuild except `launch`, `identity` and `housekeeping`; torch and FastAPI are the
`local` extra.
"""
