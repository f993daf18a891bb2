"""MediaWiki markup to running text: a scanner of our own, and tables of what names mean in each language.

    text → opaque (comments, references, nowiki …) → brackets (templates, links, tables) → inline (emphasis, tags, lines) → text

Each step passes once over the text, in time that grows with its length and nothing else, whatever the markup: brackets are
matched with a stack before anything is made of them, and no regular expression can backtrack over more than one token.
What a template, a namespace or a heading means is data (`tables`, `conf/wikitext/*.yaml`); what to do with each kind of
markup is said by `Options`.  Nothing here fetches a template's source: what is not in the tables is dropped, and told.
"""
