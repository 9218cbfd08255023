module onesnap.io/test/cluster/volume-folder

go 1.21
