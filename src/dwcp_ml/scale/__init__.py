"""Work that is larger than one machine: partitions on Spark, training on several workers."""
