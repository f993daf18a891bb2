"""The embedded provider: an OpenAI-compatible server that fine-tunes and runs open-weight models on this machine.

    launch     start the server for a build, and stop it with the build
    serve      the server process: uvicorn around `app`
    app        the routes of the protocol, and its errors
    state      files, jobs and events, in SQLite and plain files
    jobs       the queue: one training process at a time, followed line by line
    training   that process: the fine-tuning itself
    packing    rows that begin alike, trained as one tree
    engine     prompts in, completions out, many at once
    models     from a model's name to its weights

Nothing here is imported by the rest of ftbuild except `launch`; torch and FastAPI are the `local` extra.
"""
