"""Questions about a text by grammar, with answers that are right by construction; no model is asked to think of them.

language    what a recipe's language option says: which parser, and the words that questions are made of
parsing     text in, parsed paragraphs out (spaCy)
people      which names are persons, and whom a pronoun means
phrases     parts of a sentence as text, without asides
clauses     the simple statements in a sentence, with their pronouns filled in
gaps        what each statement tells that can be asked for
questions   the question for it, as a person would ask, in several wordings
rewording   statements in other words, by a thesaurus
framing     questions in other frames
verbs       forms of verbs
"""
