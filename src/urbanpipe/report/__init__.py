"""What an inspection leaves for people and for other tools: the report, exports, condition figures."""
