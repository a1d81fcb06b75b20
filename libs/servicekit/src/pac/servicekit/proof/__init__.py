"""Proofs: what a deployment did to credits, and why, so that anyone can check it without asking us."""
