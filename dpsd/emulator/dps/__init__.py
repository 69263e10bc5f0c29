"""What DPS does: enrollments, attestation, allocation and the conversation. Pure; time comes in."""
