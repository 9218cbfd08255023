module onesnap.io/test/cluster/pause

go 1.21
