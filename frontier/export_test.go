package frontier

// Mean is checked against the reference with the estimators that use it.
var Mean = mean
