module larder.dev/go/examples

go 1.25

require larder.dev/go v0.0.0

// The binding of this tree.
replace larder.dev/go => ../../bindings/go
