"""Files that come from strangers: folders, archives, arrays and pickles, read without trust.

Nothing is unpacked into a folder, no class that a file names is looked up, sizes are checked before
anything is allocated, and what is large stays on disk. README.md says why no library does it.
"""
