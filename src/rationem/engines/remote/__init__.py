"""Engines that use a server over HTTP: one that rationem started, or servers that already run."""
