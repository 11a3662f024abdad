"""Measuring hqcodec beside other codecs."""
