module larder.dev/benches

go 1.25

require larder.dev/go v0.0.0

replace larder.dev/go => ../../../bindings/go
