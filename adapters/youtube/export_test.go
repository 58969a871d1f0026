package youtube

// InChunks is [Driver] for uploads in chunks of that many bytes, so that a film of several need not be large.
var InChunks = driver
