"""Packaged weights: one .safetensors file and one model card (.md) a model."""
