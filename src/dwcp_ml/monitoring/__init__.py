"""Watching live models: has what they are asked, or how well they answer, changed?"""
