"""What people look at: the plan drawn, a run while it goes on, and its table at the end."""
