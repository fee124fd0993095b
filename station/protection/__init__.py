"""What protects people and the house: residual current, back plate, tampering, worn contactors."""
