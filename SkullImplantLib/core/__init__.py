"""What every stage stands on: images, files, progress, stages, threads, memory."""
