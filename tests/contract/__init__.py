"""What every task and every store must do."""
