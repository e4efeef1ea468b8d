"""What a delivered message costs, beside what the kernel alone asks for."""
