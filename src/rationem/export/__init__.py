"""Export from a run: its kept set for other trainers, its judge for other people. docs/sharing.md is for users."""
