"""Smalti: images by closed-form diffusion."""
