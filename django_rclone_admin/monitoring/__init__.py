"""The judgement in the languages of monitors: plugin words, JSON and metrics. It is made elsewhere."""
