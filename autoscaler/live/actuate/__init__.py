"""Carries out what the guardrails allowed: releases pods, orders nodes, removes nodes, moves jobs."""
