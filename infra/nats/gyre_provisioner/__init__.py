"""Makes what the platform's servers must hold, and says where they differ from the plan."""
