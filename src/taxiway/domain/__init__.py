"""What is true: values, rules and state machines. Standard library only; time is an argument."""
