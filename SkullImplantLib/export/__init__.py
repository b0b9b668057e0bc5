"""What leaves the program: meshes, pictures and the report, each written whole or not at all."""
