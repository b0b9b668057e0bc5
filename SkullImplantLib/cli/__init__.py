"""The command line `skull-implant`: its words, its verbs, its progress."""
