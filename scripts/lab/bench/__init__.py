"""What a delivered message costs, beside what the kernel alone takes."""
