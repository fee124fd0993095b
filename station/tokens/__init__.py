"""Who may charge: tokens, what is known of them, and the decision."""
