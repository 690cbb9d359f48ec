"""Lossless editors: what they do not change, they give back byte for byte."""
