"""Losses smooth in the score, under sparse and ridge penalties: logistic regression."""
