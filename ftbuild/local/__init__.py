"""The embedded provider: an OpenAI-compatible server that fine-tunes and runs open-weight models on this machine.

    launch         start the server for a build, and stop it with the build
    serve          the server process of a build; `standing` that of `ftbuild serve`
    app            the routes and how errors look, behind the `door`; `docs` is the page about them
    routes         the routes of the protocol, a module for each of its objects; `hub` is what they share
    protocol       errors
    state          files, jobs and events, in SQLite and plain files; `chronicle` the events

    rows           training files, checked line by line
    asked          what a request for a job says; `hyperparameters` how to train
    jobs           the queue: one training process at a time, followed line by line
    trainer        that process; `training` its steps, `saving` what it leaves on the disk
    conversation   chat rows by the model's template; `packing` rows that begin alike, `preferences` pairs of answers

    asking         what a request for an answer says
    exchange       one request and its answer: `completing`, `chatting`, `formats` and `tools`; `exchanges` for its model
    answers        between the event loop and the engine
    engine         prompts in, completions out, many at once: `cache`, `prefixes`, `sampling`, `writing`
    library        models in memory, with their `adapters`
    batches        requests in a file: `batchfile` its lines, `batchbook` what is remembered

    models         from a model's name to its weights; `devices` where they compute
    identity       what a model depends on, for the keys of stages
    tokenizing     tokenizers alone, to count with; `heading` what a GGUF file says of its model
    housekeeping   what was kept on disk, and removing it

Nothing here is imported by the rest of ftbuild except `launch`, `identity`, `tokenizing` and `housekeeping`; torch and FastAPI
are the `local` extra.
"""
