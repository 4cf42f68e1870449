"""What an experiment consists of: steps, their identity, the graph of them, and the store that keeps them.

Pure: it imports neither Ray nor torch, and runs nothing.
"""
