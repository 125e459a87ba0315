"""Independent jobs that each predict a part of the notes, and the file that joins their files."""
