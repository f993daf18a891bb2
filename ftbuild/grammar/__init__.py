"""Just enough grammar to ask questions about a text without a model: words, clauses, gaps, questions.

    language    the closed classes of a language's words, and what a text shows of its names and verbs
    clauses     the simple statements in a sentence, with their pronouns filled in
    gaps        what each statement leaves open to a question
    questions   that question, as a person would ask it
"""
