"""The report: a page of HTML with everything in it, made from the stages' outputs."""
