"""Wikis that run MediaWiki: their Action API, their pages, their dumps.

names      namespaces, titles as a wiki writes them, the categories that a text puts its page into
api        one wiki's API: where it is, logging in, asking, continuing
choosing   which pages: titles, a category, a search, links
pages      pages and what is kept of them
streams    files, however they are packed
unpacking  unpacking them in pieces, on all cores
dump       a dump's pages, one after the other
index      the index of a multistream dump
"""
