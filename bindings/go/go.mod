module larder.dev/go

go 1.25
