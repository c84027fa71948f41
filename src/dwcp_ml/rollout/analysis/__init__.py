"""Measurements of two revisions over the same minutes, turned into three-valued verdicts. Pure.

A verdict is ``fail`` on evidence of harm beyond the limit, ``pass`` on evidence that the harm is
below it (non-inferiority: a test that is merely not significant never passes), and
``inconclusive`` otherwise. Numbers that are missing or not finite never pass.
"""
