package installer

// WriteArchive makes the tests' ramdisks.
var WriteArchive = writeArchive
