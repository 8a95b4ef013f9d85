//! The unmodified `pulp-cli` sends large files in pieces.

use crate::cli::Cli;
use millrace_tests::TestApp;
use millrace_tests::app::files_below;

#[tokio::test]
async fn pulp_cli_uploads_files_in_pieces() {
    let app = TestApp::with_workers(1).await;
    let cli = Cli::new(&app);
    let text = "0123456789abcdef".repeat(20_000);
    cli.file("large.bin", &text);
    cli.run("file repository create --name zoo").await;
    let line = "file content upload --file large.bin --relative-path large.bin --chunk-size 100KB --repository zoo";
    let (unit, messages) = cli.run(line).await;
    assert!(messages.contains("Upload complete."), "{messages}");
    assert_eq!(unit["relative_path"], "large.bin");
    let (units, _) = cli
        .run("file repository content list --repository zoo")
        .await;
    assert_eq!(units[0]["sha256"], unit["sha256"]);

    cli.file("other.bin", &text.replace('0', "x"));
    let line = "artifact upload --file other.bin --chunk-size 100KB";
    let (artifact, messages) = cli.run(line).await;
    assert!(messages.contains("Upload complete."), "{messages}");
    assert_eq!(artifact["size"], text.len());
    let pieces = app.sql.number("SELECT count(*) FROM upload_chunk").await;
    assert_eq!((pieces, files_below(&app.media()).len()), (0, 2));
    app.finish().await;
}
